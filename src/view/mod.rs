//! Pure renderings of a snapshot, one file per format.
