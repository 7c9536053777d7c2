"""The ways to publish, behind one seam (`seam.py`)."""
