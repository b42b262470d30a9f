"""What users configure: the schema and its components, and the way from the command line to dataclasses."""
