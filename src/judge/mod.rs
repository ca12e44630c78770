//! Pure functions: facts, history, limits and the present moment in; evidence and findings out.

pub mod postgres;
