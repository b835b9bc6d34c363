-- A course is taken evenly: of p_granted meant for p_course_days, the next is given when p_percent
-- of the time is over for which what was taken is meant, and p_slack_days before that.

-- Whether more may be given p_elapsed_days after the course began. The first is always given.
CREATE OR REPLACE FUNCTION engine.refill_due(
    p_used bigint, p_granted bigint, p_course_days smallint, p_percent smallint,
    p_slack_days smallint, p_elapsed_days integer
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_used * p_course_days * p_percent <= p_granted * 100 * (p_elapsed_days + p_slack_days);

-- The least that must be left of the allowance for more to be given on that day.
CREATE OR REPLACE FUNCTION engine.refill_floor(
    p_granted bigint, p_course_days smallint, p_percent smallint, p_slack_days smallint,
    p_elapsed_days integer
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_granted - least(p_granted, greatest(
    0, p_granted * 100 * (p_elapsed_days + p_slack_days) / (p_course_days * p_percent)
));

-- The first day, counted from the course's, on which more may be given.
CREATE OR REPLACE FUNCTION engine.refill_after_days(
    p_used bigint, p_granted bigint, p_course_days smallint, p_percent smallint,
    p_slack_days smallint
) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(p_used::numeric * p_course_days * p_percent / (100 * p_granted))::integer
- p_slack_days;

-- Whether a price rule is for rights of this category.
CREATE OR REPLACE FUNCTION engine.is_for(
    p_categories text[], p_excluded boolean, p_category text
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_categories IS NULL
OR (array_position(p_categories, p_category) IS NOT NULL) <> p_excluded;
