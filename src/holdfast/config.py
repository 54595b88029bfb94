"""Text in; one frozen Config, or every problem at once, out."""
