SET 'table.dml-sync' = 'true';
SET 'table.local-time-zone' = 'UTC';

CREATE TABLE lines (line STRING) WITH ('connector' = 'filesystem', 'path' = '${source}', 'format' = 'raw');

CREATE TABLE written_rows (id STRING, `user` STRING, country STRING, kind STRING, cents BIGINT, `at` TIMESTAMP(6),
  email STRING)
WITH ('connector' = 'filesystem', 'path' = '${output}/rows', 'format' = 'parquet', 'parquet.compression' = 'ZSTD',
  'parquet.write.int64.timestamp' = 'true', 'parquet.timestamp.time.unit' = 'micros', 'parquet.utc-timezone' = 'true');

CREATE TABLE letters (payload STRING, field STRING)
WITH ('connector' = 'filesystem', 'path' = '${output}/dead_letters', 'format' = 'parquet',
  'parquet.compression' = 'ZSTD');

CREATE TABLE aggregates (window_start TIMESTAMP(6), country STRING, kind STRING, events BIGINT, total BIGINT,
  largest BIGINT)
WITH ('connector' = 'filesystem', 'path' = '${output}/aggregates', 'format' = 'parquet', 'parquet.compression' = 'ZSTD',
  'parquet.write.int64.timestamp' = 'true', 'parquet.timestamp.time.unit' = 'micros', 'parquet.utc-timezone' = 'true');

CREATE TEMPORARY VIEW fields AS
SELECT line,
  line IS JSON OBJECT AND NOT REGEXP(line, '\}\s*\{') AS is_record,
  JSON_VALUE(line, '$.id') AS id,
  JSON_VALUE(line, '$.at') AS at_text,
  JSON_VALUE(line, '$.user') AS `user`,
  JSON_VALUE(line, '$.country') AS country,
  JSON_VALUE(line, '$.kind') AS kind,
  TRY_CAST(REGEXP_EXTRACT(line, '"cents": ?(-?[0-9]+)[,}]', 1) AS BIGINT) AS cents,
  JSON_VALUE(line, '$.email') AS email
FROM lines;

CREATE TEMPORARY VIEW timed AS
SELECT *, TRY_CAST(REPLACE(REPLACE(
    REGEXP_EXTRACT(at_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}([.][0-9]+)?Z$', 0),
    'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS `at`
FROM fields;

-- A cast takes the 30th of February for the 28th: what comes out has to have the day that went in.
CREATE TEMPORARY VIEW judged AS
SELECT *, CASE
  WHEN NOT is_record THEN 'record'
  WHEN NOT COALESCE(REGEXP(id, '^e[0-9]+$') AND REGEXP(line, '"id": ?"'), FALSE) THEN 'id'
  WHEN NOT COALESCE(DATE_FORMAT(`at`, 'yyyy-MM-dd') = SUBSTRING(at_text, 1, 10), FALSE) THEN 'at'
  WHEN NOT COALESCE(`user` <> '' AND REGEXP(line, '"user": ?"'), FALSE) THEN 'user'
  WHEN NOT COALESCE(country IN ${countries}, FALSE) THEN 'country'
  WHEN NOT COALESCE(kind IN ${kinds}, FALSE) THEN 'kind'
  WHEN NOT COALESCE(cents >= 1, FALSE) THEN 'cents'
  WHEN email IS NOT NULL AND NOT REGEXP(line, '"email": ?"') THEN 'email'
END AS field
FROM timed;

EXECUTE STATEMENT SET BEGIN
INSERT INTO written_rows
  SELECT id, `user`, country, kind, cents, `at`, SUBSTRING(SHA256('${key}' || email), 1, 32) FROM judged
  WHERE field IS NULL;
INSERT INTO letters SELECT line, field FROM judged WHERE field IS NOT NULL;
INSERT INTO aggregates
  SELECT FLOOR(`at` TO MINUTE), country, kind, COUNT(*), SUM(cents), MAX(cents) FROM judged WHERE field IS NULL
  GROUP BY FLOOR(`at` TO MINUTE), country, kind;
END;
