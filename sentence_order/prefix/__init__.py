"""The prefix cache: what the frozen lower part of a model makes of a text is computed once and read ever after."""
