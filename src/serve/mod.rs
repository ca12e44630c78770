//! HTTP: routes, openness of each path, limits.
