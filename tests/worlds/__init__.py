"""Made-up worlds that tests share: toy plans and models, tiny networks, packages, a phone that is not there."""
