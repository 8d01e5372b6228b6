//! Reconciles NodeCronJob resources into the job tree.
