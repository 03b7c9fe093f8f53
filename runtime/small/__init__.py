"""A small text-to-video model of the same classes, trained here on clips that are drawn on demand."""
