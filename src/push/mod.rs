//! The Alertmanager client.
