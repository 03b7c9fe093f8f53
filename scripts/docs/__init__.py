"""What the documentation is made with: figures that commands print, references made from the code, one picture."""
