"""The words of the job: frozen values that flow one way, and every way to fail."""
