-- From format 1 to format 2: commits also give the totals, and pages of entries keep room for what overwrites them. The
-- functions of format 2 are made after this.

DROP FUNCTION %s.commit_pooled_1;
DROP FUNCTION %s.judge_pooled_1;
DROP FUNCTION %s.commit_1;
DROP FUNCTION %s.judge_1;
DROP FUNCTION %s.sweep_1;

ALTER TABLE %s.entries SET (fillfactor = 90);
