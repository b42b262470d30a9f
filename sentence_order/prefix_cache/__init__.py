"""The prefix cache: the output of the frozen lower part of a model is computed once per text, and read ever after."""
