"""Cleans a CSV file of orders and sums them by shop, on Spark."""

import json
import os
import sys

from pyspark.sql import SparkSession, functions as f

source, target = (os.path.abspath(name) for name in sys.argv[1:3])
spark = SparkSession.builder.getOrCreate()
orders = spark.read.csv(source, header=True, inferSchema=True)
orders = orders.withColumn("shop", f.upper(f.trim("shop"))).where(f.col("amount") > 0)
report = orders.groupBy("shop").agg(f.sum("amount").alias("total"), f.count("*").alias("orders"))
report.orderBy("shop").coalesce(1).write.csv(target, header=True)
context = spark.sparkContext
result = {
    "rows": orders.count(),
    "master": context.master,
    "application": context.applicationId,
    "name": context.appName,
    "memory": context.getConf().get("spark.executor.memory"),
    "cores": context.getConf().get("spark.cores.max"),
    "property": context.getConf().get("spark.greeting"),
}
spark.stop()
with open(os.environ["JOBWRIGHT_OUTPUT"] + ".new", "w") as file:
    json.dump(result, file)
os.rename(os.environ["JOBWRIGHT_OUTPUT"] + ".new", os.environ["JOBWRIGHT_OUTPUT"])
