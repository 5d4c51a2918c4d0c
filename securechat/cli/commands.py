"""Every command, imported once so that it registers with the app, in the order in which `--help` lists them."""
