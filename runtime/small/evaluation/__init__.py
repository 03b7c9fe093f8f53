"""What LPL and TDTM do to the small model's videos, measured on prompts that it was not trained on."""
