"""What other systems read of a site, in their own forms."""
