-- Keys whose requests are being answered just now, so that no two processes answer one at once. Nothing of it is worth
-- keeping through a crash, so nothing of it is logged, and no claim waits for a disk.
CREATE UNLOGGED TABLE claims (
    workspace_id uuid NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    until        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

-- Claims a key from a moment until another. Returns nothing where it is claimed now; else what stands in the way: the
-- answer kept, or without a status the fingerprint of the request that somebody is busy with. A function, because each
-- statement in it sees all that was committed before: who finds the claim gone finds the answer.
CREATE FUNCTION claim_key(owner uuid, wanted text, print bytea, kept_after timestamptz, begins timestamptz, ends timestamptz)
RETURNS TABLE (fingerprint bytea, status smallint, headers jsonb, body text, answered_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    LOOP
        INSERT INTO claims AS held (workspace_id, key, fingerprint, until) VALUES (owner, wanted, print, ends)
        ON CONFLICT (workspace_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, until = excluded.until
        WHERE held.until <= begins;
        IF FOUND THEN
            RETURN QUERY SELECT a.fingerprint, a.status, a.headers, a.body, a.answered_at FROM answers a
            WHERE a.workspace_id = owner AND a.key = wanted AND a.answered_at > kept_after;
            IF FOUND THEN
                DELETE FROM claims WHERE workspace_id = owner AND key = wanted;
            END IF;
            RETURN;
        END IF;
        RETURN QUERY SELECT c.fingerprint, NULL::smallint, NULL::jsonb, NULL, NULL::timestamptz FROM claims c
        WHERE c.workspace_id = owner AND c.key = wanted;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;
