CREATE TABLE "api_tokens" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"name" text NOT NULL,
	"token_hash" text NOT NULL,
	"scope" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone,
	"last_used_at" timestamp with time zone,
	"revoked_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "artifact_refs" (
	"digest" text NOT NULL,
	"holder_kind" text NOT NULL,
	"holder_id" uuid NOT NULL,
	"owner_id" uuid NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "artifact_refs_digest_holder_kind_holder_id_pk" PRIMARY KEY("digest","holder_kind","holder_id")
);
--> statement-breakpoint
CREATE TABLE "artifacts" (
	"digest" text PRIMARY KEY NOT NULL,
	"size_bytes" bigint NOT NULL,
	"kind" text NOT NULL,
	"state" text DEFAULT 'present' NOT NULL,
	"meta" json NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "attempts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"node_run_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"worker_id" uuid,
	"trainer_pid" integer,
	"from_step" integer,
	"to_step" integer,
	"outcome" text,
	"error" json,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"action" text NOT NULL,
	"object_kind" text,
	"object_id" text,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkpoints" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"node_run_id" uuid NOT NULL,
	"identity_key" text NOT NULL,
	"step" integer NOT NULL,
	"manifest" text NOT NULL,
	"metric" double precision,
	"schedule_phase" text,
	"pinned" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "inspections" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"request" json NOT NULL,
	"status" text DEFAULT 'queued' NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"worker_id" uuid,
	"job_id" uuid,
	"result" json,
	"error" json,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "node_runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"run_id" uuid NOT NULL,
	"node_id" text NOT NULL,
	"type" text NOT NULL,
	"status" text NOT NULL,
	"resource" text NOT NULL,
	"params" json NOT NULL,
	"recipe" json,
	"wires" json NOT NULL,
	"key" text,
	"identity_key" text,
	"attempt" integer DEFAULT 0 NOT NULL,
	"worker_id" uuid,
	"job_id" uuid,
	"outputs" json,
	"checkpoint_id" uuid,
	"step" integer,
	"error" json,
	"skipped_by" uuid,
	"reused_from" uuid,
	"lost_in_a_row" integer DEFAULT 0 NOT NULL,
	"not_before" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"queued_at" timestamp with time zone,
	"started_at" timestamp with time zone,
	"last_beat" timestamp with time zone,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "pipeline_versions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"pipeline_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"document" json NOT NULL,
	"graph_digest" text NOT NULL,
	"name" text,
	"reason" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "pipelines" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"name" text NOT NULL,
	"draft" json NOT NULL,
	"revision" integer DEFAULT 1 NOT NULL,
	"template_of" text,
	"source_file" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"removed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "results" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"key" text NOT NULL,
	"node_run_id" uuid NOT NULL,
	"type" text NOT NULL,
	"outputs" json NOT NULL,
	"provenance" json NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"invalidated_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "run_events" (
	"run_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"owner_id" uuid NOT NULL,
	"node_id" text,
	"kind" text NOT NULL,
	"data" json NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "run_events_run_id_seq_pk" PRIMARY KEY("run_id","seq")
);
--> statement-breakpoint
CREATE TABLE "run_seq" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"seq" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"owner_id" uuid NOT NULL,
	"pipeline_id" uuid NOT NULL,
	"version_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"parent_run" uuid,
	"target" json,
	"inputs" json NOT NULL,
	"plan" json NOT NULL,
	"status" text DEFAULT 'queued' NOT NULL,
	"wanted" text DEFAULT 'run' NOT NULL,
	"root_cause" uuid,
	"idempotency_key" text NOT NULL,
	"priority" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "workers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host" text NOT NULL,
	"slot" integer NOT NULL,
	"pid" integer NOT NULL,
	"resources" json NOT NULL,
	"devices" json NOT NULL,
	"versions" json NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_beat" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"token_hash" text
);
--> statement-breakpoint
ALTER TABLE "artifact_refs" ADD CONSTRAINT "artifact_refs_digest_artifacts_digest_fk" FOREIGN KEY ("digest") REFERENCES "public"."artifacts"("digest") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_node_run_id_node_runs_id_fk" FOREIGN KEY ("node_run_id") REFERENCES "public"."node_runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "checkpoints" ADD CONSTRAINT "checkpoints_node_run_id_node_runs_id_fk" FOREIGN KEY ("node_run_id") REFERENCES "public"."node_runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "node_runs" ADD CONSTRAINT "node_runs_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "pipeline_versions" ADD CONSTRAINT "pipeline_versions_pipeline_id_pipelines_id_fk" FOREIGN KEY ("pipeline_id") REFERENCES "public"."pipelines"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "results" ADD CONSTRAINT "results_node_run_id_node_runs_id_fk" FOREIGN KEY ("node_run_id") REFERENCES "public"."node_runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_seq" ADD CONSTRAINT "run_seq_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_pipeline_id_pipelines_id_fk" FOREIGN KEY ("pipeline_id") REFERENCES "public"."pipelines"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_version_id_pipeline_versions_id_fk" FOREIGN KEY ("version_id") REFERENCES "public"."pipeline_versions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "api_tokens_hash" ON "api_tokens" USING btree ("token_hash");--> statement-breakpoint
CREATE INDEX "artifact_refs_holder" ON "artifact_refs" USING btree ("holder_kind","holder_id");--> statement-breakpoint
CREATE INDEX "artifact_refs_owner" ON "artifact_refs" USING btree ("owner_id","digest");--> statement-breakpoint
CREATE UNIQUE INDEX "attempts_number" ON "attempts" USING btree ("node_run_id","attempt");--> statement-breakpoint
CREATE INDEX "audit_log_owner" ON "audit_log" USING btree ("owner_id","at");--> statement-breakpoint
CREATE UNIQUE INDEX "checkpoints_step" ON "checkpoints" USING btree ("node_run_id","step");--> statement-breakpoint
CREATE INDEX "checkpoints_identity" ON "checkpoints" USING btree ("owner_id","identity_key","step");--> statement-breakpoint
CREATE INDEX "inspections_owner" ON "inspections" USING btree ("owner_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "node_runs_node" ON "node_runs" USING btree ("run_id","node_id");--> statement-breakpoint
CREATE INDEX "node_runs_live" ON "node_runs" USING btree ("status") WHERE status in ('queued', 'running');--> statement-breakpoint
CREATE INDEX "node_runs_history" ON "node_runs" USING btree ("owner_id","type","ended_at");--> statement-breakpoint
CREATE UNIQUE INDEX "pipeline_versions_number" ON "pipeline_versions" USING btree ("pipeline_id","number");--> statement-breakpoint
CREATE INDEX "pipelines_owner" ON "pipelines" USING btree ("owner_id","updated_at");--> statement-breakpoint
CREATE UNIQUE INDEX "pipelines_source_file" ON "pipelines" USING btree ("owner_id","source_file");--> statement-breakpoint
CREATE UNIQUE INDEX "results_key" ON "results" USING btree ("owner_id","key") WHERE invalidated_at is null;--> statement-breakpoint
CREATE INDEX "run_events_series" ON "run_events" USING btree ("run_id","node_id","kind","seq");--> statement-breakpoint
CREATE UNIQUE INDEX "runs_idempotency" ON "runs" USING btree ("owner_id","idempotency_key");--> statement-breakpoint
CREATE UNIQUE INDEX "runs_number" ON "runs" USING btree ("owner_id","number");--> statement-breakpoint
CREATE INDEX "runs_pipeline" ON "runs" USING btree ("pipeline_id","created_at");--> statement-breakpoint
CREATE INDEX "runs_open" ON "runs" USING btree ("status") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "workers_beat" ON "workers" USING btree ("last_beat");--> statement-breakpoint
CREATE INDEX "workers_slot" ON "workers" USING btree ("host","slot");--> statement-breakpoint
-- Room on the page for the counter's updates (R-80).
ALTER TABLE "run_seq" SET (fillfactor = 50);
