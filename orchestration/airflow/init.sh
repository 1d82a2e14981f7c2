#!/bin/sh
# Bring Airflow's database to this version's tables, and the administrator to the password of the environment.
set -eu
: "${AIRFLOW_ADMIN_PASSWORD:?is not set}"
airflow db migrate
# "already exist" is no error of the command.
airflow users create --username admin --role Admin --firstname Air --lastname Flow --email admin@localhost \
    --password "$AIRFLOW_ADMIN_PASSWORD"
airflow users reset-password --username admin --password "$AIRFLOW_ADMIN_PASSWORD"
