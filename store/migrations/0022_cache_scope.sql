-- Whose questions a cached answer of the collection serves: session, collection; NULL: QUERY_CACHE_SCOPE of the gateway.
ALTER TABLE collections ADD COLUMN cache_scope text;
