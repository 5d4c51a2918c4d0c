"""Who may come in: passwords, the credential file, and the answer to a login. It knows no frame, socket or room."""
