-- Who was erased, sealed: for as long as a topic may still bring them up, so that every service drops what it knows of
-- them; null from then on.
ALTER TABLE erasures ADD COLUMN person text;

DROP INDEX erasures_in_order;
CREATE INDEX erasures_under_way ON erasures (erased_at, contact_id) WHERE person IS NOT NULL;
