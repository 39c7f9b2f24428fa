//! The rules of house style that a machine can check, as tests.
