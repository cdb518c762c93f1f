-- Deploys to environments of a branch or a pull request, which change nothing users reach.
ALTER TABLE deploy DROP CONSTRAINT deploy_kind_check;
ALTER TABLE deploy ADD CONSTRAINT deploy_kind_check
    CHECK (kind IN ('deploy', 'code_change', 'release', 'ci_outcome', 'configuration', 'preview'));
