"""When a job ends: a mail, a webhook, a line on the desktop, each once."""
