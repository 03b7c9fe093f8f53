"""What engines write and reports read: traces, results, answers of searches, evaluations, agreement."""
