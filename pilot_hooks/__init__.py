"""What the PanDA pilot calls around the job (standard library only, Python >= 3.9)."""
