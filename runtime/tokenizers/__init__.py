"""From a prompt to token ids, by a document that says how: the small model's words, or T5's unigram pieces."""
