"""What every service serves over HTTP: operations declared once, doors, problems, repeats and limits."""
