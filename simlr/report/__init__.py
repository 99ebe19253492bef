"""From a run file to a page: tables, pictures and texts."""
