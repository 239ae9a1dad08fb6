//! Systems as they are met: what the doctor says of each.
