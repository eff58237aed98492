"""Watch what a site's films and answers do over time."""
