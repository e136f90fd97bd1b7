"""Any micrograph file to `Micrograph`: one module a format, and what guards a reader."""
