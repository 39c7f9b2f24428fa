//! Which streams exist and what they are made of.
