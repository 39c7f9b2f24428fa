//! The AWS wire: dispatch, JSON 1.1, error shapes, validation messages.
