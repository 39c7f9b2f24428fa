//! The files of a log: io_uring, blocking threads, or a simulation with faults.
