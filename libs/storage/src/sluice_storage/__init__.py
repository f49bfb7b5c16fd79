"""PostgreSQL: pool, SQL from files, migrations, batch statements."""
