//! Warnings
