CREATE TABLE "sweeps" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"pipeline_id" uuid NOT NULL,
	"spec" json NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "name" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "note" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "tags" json DEFAULT '[]'::json NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "sweep_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "removed_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "sweeps" ADD CONSTRAINT "sweeps_pipeline_id_pipelines_id_fk" FOREIGN KEY ("pipeline_id") REFERENCES "public"."pipelines"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "sweeps_pipeline" ON "sweeps" USING btree ("owner_id","pipeline_id","created_at");--> statement-breakpoint
CREATE INDEX "runs_sweep" ON "runs" USING btree ("sweep_id") WHERE sweep_id is not null;--> statement-breakpoint
-- What reuses a result holds its bytes itself from now on, so that the run that made it can be discarded.
INSERT INTO "artifact_refs" ("digest", "holder_kind", "holder_id", "owner_id")
WITH RECURSIVE made AS (
	SELECT n.id AS holder, n.reused_from AS source, n.owner_id FROM node_runs n WHERE n.reused_from IS NOT NULL
	UNION
	SELECT made.holder, n.reused_from, made.owner_id FROM made JOIN node_runs n ON n.id = made.source WHERE n.reused_from IS NOT NULL
)
SELECT r.digest, 'node_run', made.holder, made.owner_id FROM made JOIN artifact_refs r ON r.holder_kind = 'node_run' AND r.holder_id = made.source
ON CONFLICT DO NOTHING;
