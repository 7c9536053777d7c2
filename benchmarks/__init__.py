"""What is measured, each as a ratio taken in one run: `make bench` prints a table, and writes bench-output/."""
