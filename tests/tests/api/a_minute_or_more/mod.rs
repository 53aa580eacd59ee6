//! What takes a minute or more by itself: most of it waits for what the operator looks at once a minute. Tests are begun in
//! the order of their names, so these are begun first, and none of them is left to run alone at the end.

mod claims_that_hang;
mod dns_endpoint_missing;
mod many;
mod orphans;
mod rights;
mod rollouts;
