"""What other trainers call a key or an option, and what it is here; docs/from_other_libraries.md lists them too."""

import re

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config.commands import parse_override, write_override
from sentence_order.config.components import METRICS
from sentence_order.config.keys import Range, dotted_keys, key_infos
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

# The names, without dashes and with _ for a dot, of Hugging Face's TrainingArguments and scripts, of
# sentence-transformers, of Lightning and its template for Hydra, and of PyTorch's examples; by what to type here, `{}`
# being the value that was typed, and a note on it; or by a sentence. A name may stand in several rows: the first one
# counts that the command has and the value fits.
ALIASES = {
    "optim.lr={}; that of set layers and heads is optim.head_lr": "lr learning_rate base_lr encoder_lr peak_lr max_lr",
    "optim.head_lr={}": "head_learning_rate classifier_lr decoder_lr",
    "trainer.epochs={}": "epochs max_epochs num_epochs num_train_epochs n_epochs",
    "trainer.max_steps={}": "num_steps num_train_steps steps num_training_steps total_steps max_iters",
    "trainer.batch_tokens=N; it counts tokens, padding included, not documents": "batch_size train_batch_size bs batch "
    "per_device_train_batch_size per_gpu_train_batch_size",
    "training finds on CUDA how large batches fit, with trainer.batch_tokens=auto": "auto_find_batch_size "
    "auto_scale_batch_size",
    "trainer.eval_batch_tokens=N; it counts tokens, padding included, not documents": "eval_batch_size "
    "per_device_eval_batch_size per_gpu_eval_batch_size val_batch_size test_batch_size",
    "batch_tokens=N; it counts tokens, padding included, not documents": "eval_batch_size per_device_eval_batch_size "
    "test_batch_size",
    "trainer.accumulate={}": "gradient_accumulation_steps accumulate_grad_batches gradient_accumulation grad_accum "
    "accumulation_steps",
    "optim.weight_decay={}": "wd l2",
    "optim.max_grad_norm={}": "gradient_clip_val gradient_clip grad_clip clip_grad_norm gradient_clipping max_norm",
    "optim.betas=[0.9,0.98]": "adam_beta1 adam_beta2 beta1 beta2",
    "optim.schedule={}": "lr_scheduler_type lr_scheduler scheduler schedule lr_schedule",
    "optim.warmup={}; share of all steps": "warmup_ratio warmup_proportion warmup_steps num_warmup_steps warmup_epochs",
    "optim.ema={}": "use_ema ema_decay swa",
    "model.dropout={}": "dropout_rate dropout_prob hidden_dropout_prob classifier_dropout",
    "model.attention_dropout={}": "attention_probs_dropout_prob",
    "precision=fp16": "fp16 use_fp16 half fp16_opt_level amp use_amp mixed_precision",
    "precision=bf16": "bf16 use_bf16",
    "precision={}": "dtype torch_dtype",
    "device={}; auto, cpu, cuda or cuda:N": "accelerator device_type gpu gpu_id cuda_device",
    "device=cpu": "no_cuda use_cpu cpu",
    "a GPU is device=cuda or device=cuda:N, the CPU device=cpu": "cuda use_cuda use_gpu",
    "trainer.eval_every={}; in steps": "eval_steps evaluation_steps val_check_interval eval_interval eval_freq",
    "trainer.save_every={}; in steps": "save_steps checkpoint_save_steps save_interval every_n_train_steps",
    "trainer.log_every={}; in steps": "logging_steps log_every_n_steps log_interval print_freq",
    "trainer.eval_every=N; in steps, like trainer.save_every and trainer.log_every": "eval_strategy "
    "evaluation_strategy save_strategy logging_strategy check_val_every_n_epoch every_n_epochs",
    "trainer.metric={}": "metric_for_best_model monitor optimized_metric best_metric",
    "trainer.patience={}; in validations": "early_stopping early_stop use_early_stopping early_stopping_patience",
    "trainer.keep={}": "save_total_limit checkpoint_save_total_limit save_top_k model_checkpoint",
    "batches are made by the process that trains, on CUDA by a thread of it; leave it out": "workers num_workers "
    "dataloader_num_workers",
    "data.split_seed={}": "data_seed",
    "seed={}": "random_seed seed_everything manual_seed random_state",
    "encoder.name={}; or one of its options, as in encoder=bert_base": "model_name_or_path name_or_path model_name "
    "pretrained_model_name_or_path pretrained_model base_model bert_model backbone arch model_type tokenizer_name "
    "tokenizer encoder_model encoder_path encoder_checkpoint encoder_type",
    "encoders are pretrained; only encoder=tiny is random": "pretrained use_pretrained from_scratch random_init",
    "resume={}; to start a new run from its weights: init_from=RUN": "ckpt_path ckpt checkpoint checkpoint_path "
    "resume_from_checkpoint load_checkpoint resume_from",
    "init_from={}": "pretrained_weights load_weights load_model model_path model_dir",
    "checkpoint={}": "model_name_or_path model_name name_or_path model model_path model_dir model_id ckpt_path ckpt "
    "checkpoint_path resume_from_checkpoint load_model init_from resume run",
    "output_dir={}": "output dir out out_dir output_path save_dir save_path log_dir logging_dir default_root_dir "
    "run_name experiment_name work_dir",
    "output={}": "output_file out out_file output_path save_path output_dir",
    "format={}": "data source data_source file_format input_format",
    "input={}": "input_file input_path file text text_file test_file data train_file source data_train data_test",
    "data.train={} data=FORMAT; in evaluate data.test={}": "train train_file train_data train_path train_dataset "
    "train_data_file data_path data_dir data_file data_files data_text data_root dataset_path input input_file "
    "input_path file text text_file",
    "data.validation={}": "validation_file val_file valid_file dev_file eval_file val_data eval_dataset val valid dev",
    "data.test={}": "test test_file test_data test_path test_dataset predict_file",
    "data={}": "datamodule data_module data_name",
    "data=hub data.hub_id={}": "dataset_name dataset",
    "data.hub_config={}": "dataset_config_name dataset_config",
    "data.limit_train={}; it counts documents": "max_train_samples max_samples limit_train_batches",
    "data.limit_validation={}; it counts documents": "max_eval_samples max_val_samples limit_val_batches",
    "data.limit_test={}; it counts documents": "max_predict_samples max_test_samples limit_test_batches",
    "data.validation_share={}": "validation_split val_split val_size val_ratio validation_split_percentage",
    "data.test_share={}": "test_split test_size test_ratio",
    "data.max_sentence_tokens={}; of each sentence": "max_seq_length max_length max_seq_len max_len block_size",
    "data.text_column={}": "text_column_name",
    "data.delimiter={}": "sep separator",
    "cache.dir={}": "cache_dir cache_folder",
    "debug=smoke": "fast_dev_run dry_run",
    "debug=overfit": "overfit_batches",
    "debug=anomaly": "detect_anomaly",
    "freeze.depth={}; the lowest N layers": "freeze_layers frozen_layers num_frozen_layers n_frozen frozen",
    "freeze=encoder": "freeze_encoder freeze_bert freeze_base_model freeze_backbone frozen encoder_frozen",
    "freeze.depth=-{}; all but the last N": "unfreeze unfreeze_layers unfrozen_layers trainable trainable_layers",
    "freeze.embeddings=true": "freeze_embeddings",
    "loss=NAME; --help loss lists them": "loss_fn loss_function criterion loss_type loss_name",
    "decoder={}": "decoder_type",
    "decoder.beam_width={}": "num_beams beam_size",
    "top_k={}": "num_return_sequences n_best nbest topk k",
    "host={}": "server_name server ip address",
    "port={}": "server_port",
    "host=0.0.0.0 lets other machines reach the page": "share public",
    "several devices are used by torchrun --nproc_per_node=N -m sentence_order.train": "devices gpus num_gpus n_gpu "
    "num_devices rank dist_url num_processes nproc_per_node num_nodes strategy ddp world_size local_rank distributed",
    "TensorBoard files and metrics.jsonl are always written; other loggers are callbacks from Python": "report_to "
    "logger loggers wandb use_wandb wandb_project project mlflow comet neptune tensorboard",
    "callbacks are given from Python": "callbacks callback",
    "it is not available; leave it out": "load_in_8bit load_in_4bit deepspeed fsdp lora lora_r lora_alpha use_lora "
    "peft use_peft torch_compile compile tf32 label_smoothing label_smoothing_factor auto_lr_find profiler",
    "it has no counterpart; leave it out": "min_epochs min_steps max_time steps_per_epoch num_sanity_val_steps "
    "gradient_clip_algorithm benchmark inference_mode sync_batchnorm pin_memory dataloader_pin_memory drop_last "
    "dataloader_drop_last eval_delay remove_unused_columns label_names ddp_find_unused_parameters neftune_noise_alpha "
    "use_mps_device no_mps tags",
    "AdamW is the only optimizer; its keys are those of the group optim": "optimizer optim_name optim_type "
    "optimizer_name optimizer_class optimizer_params adam_epsilon eps momentum adafactor gamma",
    "it follows from trainer.metric": "greater_is_better mode monitor_mode",
    "it is always so": "load_best_model_at_end save_best_model save_safetensors save_model shuffle "
    "group_by_length deterministic full_determinism enable_checkpointing enable_progress_bar",
    "train also validates and tests; evaluate and predict are commands of their own": "do_train do_eval do_test "
    "do_predict train test predict evaluate",
    "a run never replaces another; name another output_dir": "overwrite_output_dir overwrite",
    "SentenceOrderer.push_to_hub uploads a model, from Python": "push_to_hub hub_model_id hub_token",
    "the code of a data set or a model is never run": "trust_remote_code",
    "a search is -m hydra/sweeper=optuna": "hparams_search",
    "a file of one's own is --config-dir FOLDER --config-name NAME": "config config_file config_path",
    "train.log in the run's folder has every line": "verbose log_level logging_level disable_tqdm show_progress_bar "
    "enable_model_summary",
}
# What else an unknown option of a group may be meant for.
OPTION_NOTES = {
    "encoder": "any hub id or folder: encoder.name={}",
    "freeze": "the embeddings and the lowest N layers: freeze.depth=N, half or all",
    "cache": "to name a folder: cache=./{}",
    "model": "the encoder is encoder.name={}",
    "optim": "AdamW is the only optimizer",
    "trainer": "a GPU is device=cuda; several are used by torchrun --nproc_per_node=N -m sentence_order.train",
}
# What others call a value of a key, or an option of a group.
VALUES = {
    "precision": {
        **dict.fromkeys(("16", "16-mixed", "16-true", "float16", "half"), "fp16"),
        **dict.fromkeys(("bf16-mixed", "bf16-true", "bfloat16"), "bf16"),
        **dict.fromkeys(("32", "32-true", "float32", "full"), "fp32"),
    },
    "device": {"gpu": "cuda", "true": "cuda", "false": "cpu", **{str(number): f"cuda:{number}" for number in range(8)}},
    "resume": dict.fromkeys(("true", "last", "latest"), "auto"),
    "trainer.metric": {
        f"{split}{name}": name for split in ("val/", "val_", "eval_", "validation/") for name in METRICS
    },
    "loss": {"mse": "regression", "hinge": "margin", "listmle": "list_mle"},
    "freeze": {"half": "bottom_half", "all": "encoder", "true": "encoder", "false": "none"},
}
# Values that switch a thing off; the key that an answer names first; and where it takes the value.
FALSE = ("false", "null", "none", "0")
TARGET, PLACE = re.compile(r"([\w.]+)="), re.compile(r"([\w.]+)=(-?)\{\}")


def find_meant(key: str, value: str, schema: type) -> str | None:
    """What to type, in the command of a schema, for a key of another library; None if the name is not known."""
    parts = key.lower().replace("-", "_").split(".")
    is_ours = len(parts) > 1 and any(parts[0] in dotted_keys(other) for other in SCHEMAS.values())
    keys = [other for other in dotted_keys(schema) if not (is_ours and "." in other)]
    own = [other for other in keys if other.rpartition(".")[2] == parts[-1]]
    for name in ("_".join(parts), "_".join(parts[-2:]), *reversed(parts[is_ours:])):
        answers = [answer for answer, names in ALIASES.items() if name in names.split()]
        if name == parts[-1] and len(own) == 1:
            answers.append(f"{own[0]}={{}}")
        if name in parts[:-1]:  # such as `optimizer`, of whose keys none is its value
            answers = [answer for answer in answers if not TARGET.match(answer)]
        if answers:
            return _choose(answers, value, schema)
    return None


def _choose(answers: list[str], value: str, schema: type) -> str:
    """The first answer that the command has and the value fits, else a sentence, else one without the value."""
    keys, sentences, templates = dotted_keys(schema), [], []
    for answer in answers:
        target = TARGET.match(answer)
        if not target:
            sentences.append(answer)
        elif own := [key for key in (target[1], target[1].rpartition(".")[2]) if key in keys]:
            templates.append(answer.replace(target[1], own[0], 1))
    for template in templates:
        places = PLACE.findall(template)
        meant = VALUES.get(places[0][0], {}).get(value.lower(), value) if places else value
        if _fits(places[0][0], places[0][1] + meant, schema) if places else value.lower() not in FALSE:
            for key, sign in places:
                template = template.replace(f"{key}={sign}{{}}", write_override(key, sign + meant))
            return f"use {template}"
    if sentences:
        return sentences[0]
    if not templates:
        key = answers[0].partition("=")[0]
        return f"{key} is a key of {next(name for name, other in SCHEMAS.items() if key in dotted_keys(other))}"
    if value.lower() in FALSE:
        return "leave it out"
    key, sign = PLACE.findall(templates[0])[0]
    accepted = info.accepted if (info := key_infos(schema).get(key)) else ""
    placeholder = "N" if sign or accepted.startswith(("integer", "number")) else "VALUE"
    return f"use {templates[0].replace('{}', placeholder)}" + (f"; accepted: {accepted}" if accepted and value else "")


def _fits(key: str, value: str, schema: type) -> bool:
    """True if a key accepts a value that was typed, as far as its type and range say."""
    info, parsed = key_infos(schema).get(key), parse_override(f"{key}={value}")
    if info is None or not value:  # a group has options
        return value not in ("", *FALSE)
    if value.lstrip("-").lower() in ("true", "false"):
        return info.kind is bool
    if parsed and parsed.is_sweep_override():
        return True
    config = OmegaConf.structured(schema)
    try:
        OmegaConf.update(config, key, parsed.value() if parsed else value)
        if isinstance(info.accepts, Range):
            info.accepts.check(key, OmegaConf.select(config, key))
    except (OmegaConfBaseException, UserError):
        return False
    return True
