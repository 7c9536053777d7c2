"""`lsst-trf doctor`: is this machine fit to be a worker of a site, and if not, what is to be done."""
