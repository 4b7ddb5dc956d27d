"""Amazon Redshift, which speaks PostgreSQL's protocol: what its catalog tells of a table."""
