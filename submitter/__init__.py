"""What a scientist uses: pictures of the images for now."""
