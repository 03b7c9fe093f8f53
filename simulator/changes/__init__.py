"""One plan with one thing changed: advice, what-ifs, explanations, sensitivities."""
