-- The functions of format 2. `%s` stands for the quoted name of the schema.

-- The first precondition of each batch that does not hold, and what was found there.
CREATE FUNCTION %s.judge_2(
    p_now bigint,
    c_batch integer[], c_place integer[], c_expect smallint[], c_key bytea[], c_end bytea[], c_number bigint[]
) RETURNS TABLE (batch integer, place integer, found bigint)
LANGUAGE plpgsql STABLE
AS $stead$
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (j.batch) j.batch, j.place, j.found
    FROM (
        SELECT c.batch, c.place, c.expect, c.number,
            CASE WHEN c.expect < 3 THEN (
                SELECT e.revision FROM %s.entries e
                WHERE e.key = c.key AND (e.deadline IS NULL OR e.deadline > p_now)
            ) ELSE (
                SELECT count(*) FROM (
                    SELECT FROM %s.entries e
                    WHERE e.key >= c.key AND e.key < c.end_ AND (e.deadline IS NULL OR e.deadline > p_now)
                    LIMIT c.number + 1
                ) counted
            ) END AS found
        FROM unnest(c_batch, c_place, c_expect, c_key, c_end, c_number)
            AS c(batch, place, expect, key, end_, number)
        OFFSET 0
    ) j
    WHERE NOT CASE j.expect
        WHEN 0 THEN j.found IS NULL
        WHEN 1 THEN j.found IS NOT NULL
        ELSE j.found IS NOT DISTINCT FROM j.number
    END
    ORDER BY j.batch, j.place;
END
$stead$;

-- Commits batches that do not touch each other. All that this schema is about is said in docs/src/formats/postgres.md.
CREATE FUNCTION %s.commit_2(
    p_now bigint, p_sync text, p_floor bigint, p_raise bigint, p_count integer, p_writes boolean[],
    q_id bytea[], q_fingerprint bytea[],
    c_batch integer[], c_place integer[], c_expect smallint[], c_key bytea[], c_end bytea[], c_number bigint[],
    w_batch integer[], w_key bytea[], w_value bytea[], w_deadline bigint[],
    o_batch integer[], o_key bytea[], o_value bytea[],
    o_absent smallint[], o_absent_deadline bigint[], o_present smallint[], o_present_deadline bigint[],
    OUT r_last bigint, OUT r_entries bigint, OUT r_bytes bigint, OUT r_expired bigint,
    OUT r_outcome smallint[], OUT r_revision bigint[], OUT r_place integer[], OUT r_found bigint[]
) LANGUAGE plpgsql
AS $stead$
DECLARE
    v_first bigint;
    v_base bigint;
    v_listening boolean;
    v_floor bigint;
    v_ceiling bigint;
    v_restarted boolean;
    v_plain boolean := p_writes IS NULL;
    v_revisions bigint[];
    v_revision bigint;
    v_replaced bigint;
    v_replaced_bytes bigint;
    v_seen boolean;
    v_what smallint;
    v_deadline bigint;
    v_batch integer;
    v_keys bytea[];
    v_kinds bytea;
    v_row record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transaction_isolation' USING ERRCODE = 'SD001';
    END IF;
    -- Until the end of the transaction, which is after the commit is visible: revisions become visible in their order.
    -- As a condition and not as a query: that is an expression, and costs a tenth.
    IF pg_advisory_xact_lock(1937007972, '%s.changes'::regclass::oid::integer) IS NULL THEN
        NULL;
    END IF;
    IF p_sync IS NOT NULL THEN
        PERFORM set_config('synchronous_commit', p_sync, true);
    END IF;
    SELECT c.revision, c.entries, c.bytes, m.listening > clock_timestamp(), m.floor,
            m.ceiling, m.started IS DISTINCT FROM pg_postmaster_start_time()
        INTO STRICT v_first, r_entries, r_bytes, v_listening, v_floor, v_ceiling, v_restarted
        FROM %s.changes c, %s.meta m WHERE m.one ORDER BY c.revision DESC LIMIT 1;
    -- A batch that raises comes alone. A server that was started anew may have lost buffered commits, whose revisions were
    -- handed out: the store goes on behind all that can have been.
    v_base := greatest(v_first, p_raise, CASE WHEN v_restarted THEN v_ceiling END);
    r_last := v_first;
    r_expired := 0;

    IF v_plain THEN
        r_last := v_base + p_count;
    ELSE
        r_outcome := array_fill(0::smallint, ARRAY[p_count]);
        r_revision := array_fill(NULL::bigint, ARRAY[p_count]);
        r_place := array_fill(NULL::integer, ARRAY[p_count]);
        r_found := array_fill(NULL::bigint, ARRAY[p_count]);
        v_revisions := array_fill(0::bigint, ARRAY[p_count]);
        IF q_id IS NOT NULL THEN
            FOR v_row IN
                SELECT u.batch, u.fingerprint = q.fingerprint AS same, q.outcome, q.revision, q.place, q.found
                FROM unnest(q_id, q_fingerprint) WITH ORDINALITY AS u(id, fingerprint, batch)
                JOIN %s.requests q ON q.id = u.id
            LOOP
                r_outcome[v_row.batch] := CASE WHEN v_row.same THEN v_row.outcome + 2 ELSE 4 END;
                r_revision[v_row.batch] := v_row.revision;
                r_place[v_row.batch] := v_row.place;
                r_found[v_row.batch] := v_row.found;
            END LOOP;
        END IF;
        IF c_batch IS NOT NULL THEN
            FOR v_row IN
                SELECT j.batch, j.place, j.found
                FROM %s.judge_2(p_now, c_batch, c_place, c_expect, c_key, c_end, c_number) j
            LOOP
                CONTINUE WHEN r_outcome[v_row.batch] <> 0;
                r_outcome[v_row.batch] := 1;
                r_place[v_row.batch] := v_row.place;
                r_found[v_row.batch] := v_row.found;
            END LOOP;
        END IF;
        FOR i IN 1..p_count LOOP
            CONTINUE WHEN r_outcome[i] <> 0;
            IF p_writes[i] THEN
                r_last := greatest(r_last, v_base) + 1;
                v_revisions[i] := r_last;
            END IF;
            r_revision[i] := r_last;
        END LOOP;
        IF w_batch IS NOT NULL AND r_last < v_base + p_count THEN
            SELECT array_agg(u.batch), array_agg(u.key), array_agg(u.value), array_agg(u.deadline)
                INTO w_batch, w_key, w_value, w_deadline
                FROM unnest(w_batch, w_key, w_value, w_deadline) AS u(batch, key, value, deadline)
                WHERE v_revisions[u.batch] > 0;
        END IF;
    END IF;

    IF cardinality(w_batch) = 1 THEN
        -- A single write, without the tools for many.
        v_revision := CASE WHEN v_plain THEN r_last ELSE v_revisions[w_batch[1]] END;
        SELECT octet_length(e.value), e.deadline INTO v_replaced_bytes, v_deadline
            FROM %s.entries e WHERE e.key = w_key[1];
        IF NOT FOUND THEN
            r_entries := r_entries + 1;
            r_bytes := r_bytes + octet_length(w_key[1]) + octet_length(w_value[1]);
        ELSE
            r_bytes := r_bytes - v_replaced_bytes + octet_length(w_value[1]);
            IF v_deadline <= p_now THEN
                r_expired := 1;
            END IF;
        END IF;
        INSERT INTO %s.entries AS e (key, value, revision, deadline)
            VALUES (w_key[1], w_value[1], v_revision, w_deadline[1])
            ON CONFLICT (key) DO UPDATE
            SET value = excluded.value, revision = excluded.revision, deadline = excluded.deadline;
        INSERT INTO %s.changes (revision, entries, bytes, keys) VALUES (v_revision, r_entries, r_bytes, w_key);
    ELSIF w_batch IS NOT NULL THEN
        SELECT count(*), coalesce(sum(octet_length(e.key) + octet_length(e.value)), 0),
            count(*) FILTER (WHERE e.deadline <= p_now)
            INTO v_replaced, v_replaced_bytes, r_expired
            FROM %s.entries e WHERE e.key = ANY (w_key);
        r_entries := r_entries + cardinality(w_key) - v_replaced;
        INSERT INTO %s.entries AS e (key, value, revision, deadline)
            SELECT u.key, u.value, CASE WHEN v_plain THEN v_base + u.batch ELSE v_revisions[u.batch] END, u.deadline
            FROM unnest(w_batch, w_key, w_value, w_deadline) AS u(batch, key, value, deadline)
            ON CONFLICT (key) DO UPDATE
            SET value = excluded.value, revision = excluded.revision, deadline = excluded.deadline;
        SELECT r_bytes - v_replaced_bytes + sum(octet_length(u.key) + octet_length(u.value)) INTO r_bytes
            FROM unnest(w_key, w_value) AS u(key, value);
        INSERT INTO %s.changes (revision, entries, bytes, keys)
            SELECT CASE WHEN v_plain THEN v_base + u.batch ELSE v_revisions[u.batch] END,
                r_entries, r_bytes, array_agg(u.key ORDER BY u.key)
            FROM unnest(w_batch, w_key) AS u(batch, key) GROUP BY u.batch;
    END IF;

    IF o_batch IS NOT NULL THEN
        v_batch := 0;
        FOR v_row IN
            SELECT u.*, e.revision IS NOT NULL AS there, e.deadline, octet_length(e.value) AS bytes
            FROM unnest(o_batch, o_key, o_value, o_absent, o_absent_deadline, o_present, o_present_deadline)
                WITH ORDINALITY
                AS u(batch, key, value, absent, absent_deadline, present, present_deadline, number)
            LEFT JOIN %s.entries e ON e.key = u.key
            ORDER BY u.number
        LOOP
            CONTINUE WHEN v_revisions[v_row.batch] = 0;
            IF v_row.batch <> v_batch THEN
                IF v_batch > 0 THEN
                    INSERT INTO %s.changes VALUES (v_revisions[v_batch], r_entries, r_bytes, v_keys, v_kinds);
                END IF;
                v_batch := v_row.batch;
                v_keys := '{}';
                v_kinds := '';
            END IF;
            v_seen := v_row.there AND (v_row.deadline IS NULL OR v_row.deadline > p_now);
            IF v_seen THEN
                v_what := v_row.present;
                v_deadline := CASE v_what WHEN 3 THEN v_row.deadline ELSE v_row.present_deadline END;
            ELSE
                v_what := v_row.absent;
                v_deadline := v_row.absent_deadline;
            END IF;
            CONTINUE WHEN v_what = 0 OR (v_what = 2 AND NOT v_row.there);
            v_keys := array_append(v_keys, v_row.key);
            v_kinds := v_kinds || CASE WHEN v_what <> 2 THEN '\x00'::bytea WHEN v_seen THEN '\x01' ELSE '\x02' END;
            IF v_row.there AND NOT v_seen THEN
                r_expired := r_expired + 1;
            END IF;
            IF v_what = 2 THEN
                DELETE FROM %s.entries e WHERE e.key = v_row.key;
                r_entries := r_entries - 1;
                r_bytes := r_bytes - octet_length(v_row.key) - v_row.bytes;
            ELSIF NOT v_row.there THEN
                INSERT INTO %s.entries VALUES (v_row.key, v_row.value, v_revisions[v_batch], v_deadline);
                r_entries := r_entries + 1;
                r_bytes := r_bytes + octet_length(v_row.key) + octet_length(v_row.value);
            ELSIF v_row.value IS NULL THEN
                UPDATE %s.entries e SET revision = v_revisions[v_batch], deadline = v_deadline
                    WHERE e.key = v_row.key;
            ELSE
                UPDATE %s.entries e SET value = v_row.value, revision = v_revisions[v_batch], deadline = v_deadline
                    WHERE e.key = v_row.key;
                r_bytes := r_bytes - v_row.bytes + octet_length(v_row.value);
            END IF;
        END LOOP;
        IF v_batch > 0 THEN
            INSERT INTO %s.changes VALUES (v_revisions[v_batch], r_entries, r_bytes, v_keys, v_kinds);
        END IF;
    END IF;

    IF q_id IS NOT NULL THEN
        INSERT INTO %s.requests (id, time, fingerprint, outcome, revision, place, found)
            SELECT u.id, p_now, u.fingerprint, r_outcome[u.batch], r_revision[u.batch], r_place[u.batch],
                r_found[u.batch]
            FROM unnest(q_id, q_fingerprint) WITH ORDINALITY AS u(id, fingerprint, batch)
            WHERE u.id IS NOT NULL AND r_outcome[u.batch] < 2;
        -- A repeated request may ask for more durability than the first: a transaction that writes nothing syncs nothing.
        IF r_last = v_first THEN
            UPDATE %s.meta SET syncs = syncs + 1;
        END IF;
    END IF;
    IF r_last > v_base AND v_base > v_first THEN
        p_floor := v_base;
    END IF;
    IF p_floor > v_floor AND p_floor < r_last THEN
        UPDATE %s.meta SET floor = p_floor;
        DELETE FROM %s.changes c WHERE c.revision >= v_floor AND c.revision <= p_floor;
    END IF;
    IF p_sync = 'off' AND r_last > v_first AND (r_last > v_ceiling OR v_restarted) THEN
        -- A higher ceiling lasts before a revision below it is handed out.
        UPDATE %s.meta SET ceiling = r_last + 1048576, started = pg_postmaster_start_time();
        PERFORM set_config('synchronous_commit', 'local', true);
    END IF;
    IF v_listening AND r_last > v_first THEN
        PERFORM pg_notify('stead_' || '%s.changes'::regclass::oid, '');
    END IF;
END
$stead$;

-- The same for sessions that are shared and so cannot be told how to plan. Telling it with each call costs as much as
-- half a commit, which sessions of our own save.
CREATE FUNCTION %s.commit_pooled_2(
    bigint, text, bigint, bigint, integer, boolean[], bytea[], bytea[],
    integer[], integer[], smallint[], bytea[], bytea[], bigint[],
    integer[], bytea[], bytea[], bigint[],
    integer[], bytea[], bytea[], smallint[], bigint[], smallint[], bigint[],
    OUT r_last bigint, OUT r_entries bigint, OUT r_bytes bigint, OUT r_expired bigint,
    OUT r_outcome smallint[], OUT r_revision bigint[], OUT r_place integer[], OUT r_found bigint[]
) LANGUAGE sql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $stead$
    SELECT * FROM %s.commit_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
        $23, $24, $25)
$stead$;

CREATE FUNCTION %s.judge_pooled_2(
    bigint, integer[], integer[], smallint[], bytea[], bytea[], bigint[]
) RETURNS TABLE (batch integer, place integer, found bigint)
LANGUAGE sql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $stead$
    SELECT * FROM %s.judge_2($1, $2, $3, $4, $5, $6, $7)
$stead$;

-- Removes entries past their deadline, the longest dead first, as one batch of its own.
CREATE FUNCTION %s.sweep_2(p_now bigint, p_limit integer, OUT r_last bigint, OUT r_swept bigint)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $stead$
DECLARE
    v_entries bigint;
    v_bytes bigint;
    v_swept_bytes bigint;
    v_listening boolean;
    v_ceiling bigint;
    v_keys bytea[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transaction_isolation' USING ERRCODE = 'SD001';
    END IF;
    PERFORM pg_advisory_xact_lock(1937007972, '%s.changes'::regclass::oid::integer);
    PERFORM set_config('synchronous_commit', 'local', true);
    SELECT c.revision, c.entries, c.bytes, m.listening > clock_timestamp(),
            CASE WHEN m.started IS DISTINCT FROM pg_postmaster_start_time() THEN m.ceiling ELSE 0 END
        INTO STRICT r_last, v_entries, v_bytes, v_listening, v_ceiling
        FROM %s.changes c, %s.meta m WHERE m.one ORDER BY c.revision DESC LIMIT 1;
    WITH removed AS (
        DELETE FROM %s.entries e WHERE e.key = ANY (ARRAY(
            SELECT d.key FROM %s.entries d WHERE d.deadline <= p_now ORDER BY d.deadline LIMIT p_limit
        )) RETURNING e.key, octet_length(e.key) + octet_length(e.value) AS bytes
    )
    SELECT array_agg(r.key ORDER BY r.key), count(*), sum(r.bytes) INTO v_keys, r_swept, v_swept_bytes FROM removed r;
    IF r_swept > 0 THEN
        IF v_ceiling > r_last THEN
            r_last := v_ceiling;
            UPDATE %s.meta SET floor = v_ceiling;
            DELETE FROM %s.changes c WHERE c.revision <= v_ceiling;
        END IF;
        r_last := r_last + 1;
        INSERT INTO %s.changes VALUES (r_last, v_entries - r_swept, v_bytes - v_swept_bytes, v_keys,
            decode(repeat('02', r_swept::integer), 'hex'));
        IF v_listening THEN
            PERFORM pg_notify('stead_' || '%s.changes'::regclass::oid, '');
        END IF;
    END IF;
END
$stead$;
