"""The storefront: pages that put the contexts together."""
